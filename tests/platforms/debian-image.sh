#!/usr/bin/env bash
# The root file system of an image with a program of Debian's packages, laid out as the public image of the same name, as a
# tar archive on standard output. Packages are unpacked, not installed: nothing of them runs on this machine.
#
#   debian-image.sh NAME CACHE      CACHE keeps the downloaded packages
set -euo pipefail
name=$1 cache=$2
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

packages() {
    mkdir -p "$cache/partial"
    # An empty status file: everything that they need is unpacked, whatever this machine has.
    local options=(-qq -o Dir::State::status=/dev/null -o "Dir::Cache::archives=$cache" -o Debug::NoLocking=1 -o APT::Sandbox::User=root
        --no-install-recommends --yes)
    apt-get "${options[@]}" --download-only install "$@" >&2
    # "Inst redis-server (5:7.0.15-1 Debian:12/stable [amd64])" is kept as redis-server_5%3a7.0.15-1_amd64.deb.
    apt-get "${options[@]}" --quiet=0 --simulate install "$@" 2>/dev/null | sed -nE 's/^Inst ([^ ]+) \(([^ ]+) .*\[([^]]+)\]\).*/\1_\2_\3.deb/p' |
        sed 's/:/%3a/' | while read -r file; do dpkg-deb --extract "$cache/$file" "$root"; done
    mkdir -p "$root"/{tmp,run,dev,proc,sys,etc} && chmod 1777 "$root/tmp"
    printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n%s' "$users" > "$root/etc/passwd"
    printf 'root:x:0:\nnogroup:x:65534:\n%s' "$groups" > "$root/etc/group"
}

# The tools that a public image has and that Debian's smallest set of packages lacks: shell, nc, wget.
busybox() {
    mkdir -p "$root/usr/local/bin"
    cp /bin/busybox "$root/usr/local/bin/busybox"
    for applet in sh cat chmod chown cp echo env hostname id ls mkdir nc rm sed sleep wget; do
        ln -s busybox "$root/usr/local/bin/$applet"
    done
    mkdir -p "$root/bin"
    [ -e "$root/bin/sh" ] || ln -s /usr/local/bin/busybox "$root/bin/sh"
}

entrypoint() {
    cat > "$root/entrypoint"
    chmod 755 "$root/entrypoint"
}

users= groups=
case $name in
    nginx)
        users=$'nginx:x:101:101::/:/bin/sh\n' groups=$'nginx:x:101:\n'
        packages nginx-light
        busybox
        rm -rf "$root/etc/nginx"
        mkdir -p "$root/etc/nginx/conf.d" "$root/var/log/nginx" "$root/var/lib/nginx" "$root/usr/share/nginx/html"
        cat > "$root/etc/nginx/nginx.conf" <<'CONF'
user nginx;
error_log /dev/stderr notice;
pid /run/nginx.pid;
events { worker_connections 512; }
http {
    types { text/html html; text/css css; }
    access_log /dev/stdout;
    include /etc/nginx/conf.d/*.conf;
}
CONF
        entrypoint <<'SH'
#!/bin/sh
exec nginx -g 'daemon off;'
SH
        ;;
    redis)
        users=$'redis:x:102:102::/:/bin/sh\n' groups=$'redis:x:102:\n'
        packages redis-server redis-tools
        busybox
        mkdir -p "$root/data"
        entrypoint <<'SH'
#!/bin/sh
[ $# -gt 0 ] || set -- redis-server
exec "$@"
SH
        ;;
    mysql)
        users=$'mysql:x:103:103::/var/lib/mysql:/bin/sh\n' groups=$'mysql:x:103:\n'
        packages mariadb-server-core mariadb-client-core
        busybox
        mkdir -p "$root/var/lib/mysql" "$root/run/mysqld" && chmod 777 "$root/run/mysqld"
        # What the public image does at its first start: databases, users, then the server in the foreground.
        entrypoint <<'SH'
#!/bin/sh
set -eu
if [ ! -d /var/lib/mysql/mysql ]; then
    mariadb-install-db --user=root --datadir=/var/lib/mysql --skip-test-db --auth-root-authentication-method=normal >/dev/null
    mariadbd --user=root --bootstrap <<SQL
FLUSH PRIVILEGES;
ALTER USER root@localhost IDENTIFIED BY '$MYSQL_ROOT_PASSWORD';
CREATE DATABASE \`$MYSQL_DATABASE\`;
CREATE USER '$MYSQL_USER'@'%' IDENTIFIED BY '$MYSQL_PASSWORD';
GRANT ALL ON \`$MYSQL_DATABASE\`.* TO '$MYSQL_USER'@'%';
SQL
fi
exec mariadbd --user=root --bind-address=0.0.0.0 --skip-name-resolve
SH
        ;;
    php)
        users=$'www-data:x:33:33::/var/www:/bin/sh\n' groups=$'www-data:x:33:\n'
        packages apache2-bin libapache2-mod-php8.2
        busybox
        mkdir -p "$root/var/www/html" "$root/usr/local/etc/php/conf.d" "$root/run/apache2"
        cat > "$root/etc/apache2.conf" <<'CONF'
ServerName localhost
Listen 80
PidFile /run/apache2/apache2.pid
LoadModule mpm_prefork_module /usr/lib/apache2/modules/mod_mpm_prefork.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule dir_module /usr/lib/apache2/modules/mod_dir.so
LoadModule mime_module /usr/lib/apache2/modules/mod_mime.so
LoadModule php_module /usr/lib/apache2/modules/libphp8.2.so
TypesConfig /dev/null
User www-data
Group www-data
ErrorLog /dev/stderr
DocumentRoot /var/www/html
DirectoryIndex index.php index.html
<FilesMatch "\.php$">
    SetHandler application/x-httpd-php
</FilesMatch>
CONF
        entrypoint <<'SH'
#!/bin/sh
export PHP_INI_SCAN_DIR=/usr/local/etc/php/conf.d
exec apache2 -f /etc/apache2.conf -DFOREGROUND
SH
        ;;
    tomcat)
        packages tomcat10-common libtomcat10-java openjdk-17-jre-headless
        busybox
        home=$root/usr/local/tomcat
        mkdir -p "$home"/{conf,logs,temp,work,webapps}
        ln -s /usr/share/tomcat10/bin "$home/bin"
        ln -s /usr/share/tomcat10/lib "$home/lib"
        cat > "$home/conf/server.xml" <<'XML'
<Server port="-1"><Service name="Catalina"><Connector port="8080"/><Engine name="Catalina" defaultHost="localhost">
<Host name="localhost" appBase="webapps"/></Engine></Service></Server>
XML
        cp "$root"/usr/share/tomcat10/etc/web.xml "$home/conf/" 2>/dev/null || printf '<web-app/>' > "$home/conf/web.xml"
        entrypoint <<'SH'
#!/bin/sh
export JAVA_HOME=$(echo /usr/lib/jvm/java-17-openjdk-*) CATALINA_HOME=/usr/local/tomcat CATALINA_BASE=/usr/local/tomcat
exec "$JAVA_HOME/bin/java" $CATALINA_OPTS -Dcatalina.home=$CATALINA_HOME -Dcatalina.base=$CATALINA_BASE -Djava.io.tmpdir=$CATALINA_BASE/temp \
    -classpath "$CATALINA_HOME/bin/bootstrap.jar:$CATALINA_HOME/bin/tomcat-juli.jar:/usr/share/java/*" org.apache.catalina.startup.Bootstrap start
SH
        ;;
    *) echo "no image $name" >&2; exit 64 ;;
esac
rm -rf "$root"/usr/share/{doc,man,locale,info,lintian}
tar --create --directory "$root" .
